//! Channels that hold a value, and readers of them.

use traincast_core::snapshot::shape::Key;
use traincast_core::writer::Writer;
use traincast_header::Reader;

use crate::common::Place;
use crate::node::Publisher;
use crate::value::Value;

pub fn attach(place: &Place) -> Reader {
    Reader::open(Some(place.directory.path()), "run", 3).unwrap()
}

pub fn name(text: &str) -> Key<'static> {
    Key::Str(text.to_owned().into())
}

pub fn place_with(place: &Place, value: &Value) -> Writer {
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, value).unwrap();
    writer
}
