//! Kills learners and env processes by SIGKILL at every named step of a scoreboard's life. After each kill an episode is recorded
//! as a whole or not at all, nothing counts twice, the next process goes on, and `clean` leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use common::{Place, channel};
use traincast_core::directory::{Directory, Places};
use traincast_core::inspect;
use traincast_core::scores::{ScoreWriter, Scoreboard, Tally};

/// The steps of a learner, and of an env process that records three episodes.
const LEARNER: [&str; 4] = ["draft.named:1", "draft.allocated:1", "scores.made:1", "scores.named:1"];
const ENV: [(&str, u64); 9] = [
    ("allocate.piece:1", 0),
    ("scores.grown:1", 0),
    ("scores.taken:1", 0),
    ("record.prepared:1", 0),
    ("record.counted:1", 1),
    ("record.prepared:2", 1),
    ("record.counted:2", 2),
    ("record.prepared:3", 2),
    ("record.counted:3", 3),
];

fn places(directory: &Directory) -> Places {
    Places::from(directory)
}

fn record(writer: &ScoreWriter) {
    writer.record(1, true, 2.0, 5, 0.5).unwrap();
}

/// The killed process: this test, executed again with a role.
#[test]
fn role() {
    let Ok(role) = std::env::var("TRAINCAST_ROLE") else { return };
    let places = places(&Directory::at(std::env::var_os("TRAINCAST_DIR").unwrap()).unwrap());
    match role.as_str() {
        "learner" => std::mem::forget(Scoreboard::open(&places, &channel(), 2).unwrap()),
        "env" => {
            let writer = ScoreWriter::open(&places, &channel()).unwrap().unwrap();
            (0..3).for_each(|_| record(&writer));
        }
        other => panic!("no role {other}"),
    }
}

fn play(place: &Place, role: &str, failpoint: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role", "--quiet"])
        .env("TRAINCAST_ROLE", role)
        .env("TRAINCAST_DIR", place.directory.path())
        .env("TRAINCAST_FAILPOINT", failpoint)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
}

fn killed(place: &Place, role: &str, failpoint: &str) {
    assert_eq!(play(place, role, failpoint).signal(), Some(libc::SIGKILL), "{role} at {failpoint}");
}

fn counted(board: &mut Scoreboard) -> u64 {
    board.collect().unwrap();
    let Tally { episodes, successes, returns, squares, lengths, .. } = board.totals()[1];
    assert_eq!((successes, lengths), (episodes, 5 * episodes), "half an episode");
    assert_eq!((returns, squares), (2.0 * episodes as f64, 4.0 * episodes as f64), "half an episode");
    episodes
}

fn clean(place: &Place) {
    for leftover in inspect::leftovers(&place.directory).unwrap() {
        assert!(inspect::remove_leftover(&place.directory, &leftover.path).unwrap());
    }
    assert!(place.files().is_empty(), "{:?}", place.files());
}

#[test]
fn a_learner_killed_at_any_step_does_not_block_the_next_one() {
    for failpoint in LEARNER {
        for take_over in [true, false] {
            let place = Place::new();
            killed(&place, "learner", failpoint);
            if take_over {
                let mut board = Scoreboard::open(&places(&place.directory), &channel(), 2).unwrap();
                assert!(play(&place, "env", "").success());
                assert_eq!(counted(&mut board), 3);
            }
            clean(&place);
        }
    }
}

#[test]
fn an_env_killed_at_any_step_has_recorded_whole_episodes_and_the_next_one_goes_on() {
    for (failpoint, recorded) in ENV {
        let place = Place::new();
        let mut board = Scoreboard::open(&places(&place.directory), &channel(), 2).unwrap();
        killed(&place, "env", failpoint);
        assert_eq!(counted(&mut board), recorded, "{failpoint}");
        assert!(play(&place, "env", "").success());
        assert_eq!(counted(&mut board), recorded + 3, "{failpoint}");
        assert_eq!(counted(&mut board), recorded + 3);
        assert_eq!(board.blocks().len(), 1, "the block is used again");
        drop(board);
        clean(&place);
    }
}

#[test]
fn a_learner_killed_beside_envs_comes_back_to_what_they_recorded() {
    for (failpoint, recorded) in ENV {
        let place = Place::new();
        assert!(play(&place, "learner", "").success());
        killed(&place, "env", failpoint);
        let mut board = Scoreboard::open(&places(&place.directory), &channel(), 2).unwrap();
        assert_eq!(counted(&mut board), recorded, "{failpoint}");
        drop(board);
        clean(&place);
    }
}

#[test]
fn every_failpoint_of_scoreboards_is_covered() {
    let mut named = Vec::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/scores")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        named.extend(
            text.split("failpoint!(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()),
        );
    }
    let met = |name: &String| {
        LEARNER.iter().chain(ENV.iter().map(|(point, _)| point)).any(|point| point.starts_with(name.as_str()))
    };
    assert!(!named.is_empty() && named.iter().all(met), "{named:?}");
}
