"""The gates on instruction counts: what they let through, and what they say."""

from __future__ import annotations

from benches.gate import growth, instructions

BEFORE = {"publish": {"instructions": 1000.0, "calls out": 30.0}}


def judge(count: float, calls: float, rustc: str = "1.95.0") -> tuple[bool, str]:
    counts = {"publish": {"instructions": count, "calls out": calls}}
    stored = {"x86_64": {"rustc": "1.95.0", "counts": BEFORE}}
    return instructions.judge(counts, stored, "x86_64", rustc)


def test_the_same_count_passes() -> None:
    assert judge(1000, 30)[0]
    assert judge(1029, 30)[0]


def test_a_higher_count_fails_and_says_how_to_accept_it() -> None:
    passed, said = judge(1031, 30)
    assert not passed
    assert "publish: 1031.0 instructions, was 1000.0 (+3.1%)" in said
    assert "make accept-instructions" in said


def test_one_more_call_out_of_the_module_fails() -> None:
    passed, said = judge(1000, 31)
    assert not passed
    assert "calls out" in said


def test_a_lower_count_passes_and_is_reported() -> None:
    passed, said = judge(900, 30)
    assert passed
    assert "was 1000.0 (-10.0%)" in said


def test_another_compiler_gets_a_wide_tolerance() -> None:
    assert judge(1200, 30, rustc="1.99.0")[0]
    assert not judge(1300, 30, rustc="1.99.0")[0]


def test_an_operation_that_is_no_longer_measured_fails() -> None:
    stored = {"x86_64": {"rustc": "1.95.0", "counts": BEFORE}}
    passed, said = instructions.judge({}, stored, "x86_64", "1.95.0")
    assert not passed
    assert "not measured" in said


def test_a_machine_without_a_baseline_is_reported() -> None:
    passed, said = instructions.judge(BEFORE, {}, "aarch64", "1.95.0")
    assert passed
    assert "no baseline for aarch64" in said


def test_only_the_native_module_is_counted() -> None:
    dump = "\n".join(
        [
            "desc: Trigger: Client Request: publish",
            "ob=(1) /lib/_core.abi3.so",
            "fn=(1) publish",
            "16 2000",
            "+3 200",
            "cob=(2) /lib/libc.so.6",
            "cfn=(2) memcpy",
            "calls=400 0",
            "* 99999",
            "cfn=(3) encode",
            "calls=200 0",
            "* 88888",
            "ob=(2)",
            "fn=(2)",
            "20 77777",
        ]
    )
    assert instructions.parse(dump) == {
        "instructions": 2200 / instructions.CALLS,
        "calls out": 400 / instructions.CALLS,
    }


def test_what_the_c_library_spends_is_not_counted_for_the_core() -> None:
    dump = "\n".join(
        [
            "ob=/lib/libc.so.6",
            "fn=memcmp",
            "12 226",
            "ob=/target/release/deps/instructions-079e25cd89dc4c3f",
            "fn=publish",
            "16 271",
            "cob=/lib/libc.so.6",
            "cfn=memcmp",
            "calls=90 0",
            "* 226",
        ]
    )
    assert instructions.parse_core(dump) == {"instructions": 271.0}


def test_a_cost_that_grows_with_the_leaves_passes() -> None:
    passed, said = growth.judge({"read: known numbers": {1_000: 100, 16_000: 1_650}})
    assert passed
    assert "more than" not in said


def test_a_cost_that_grows_faster_fails() -> None:
    passed, said = growth.judge({"read: known numbers": {1_000: 100, 16_000: 2_010}})
    assert not passed
    assert "read: known numbers" in said
    assert "more than 20" in said


def test_what_is_beside_may_not_cost_more_at_all() -> None:
    assert growth.judge({f"publish: {growth.BESIDE} numbers": {1_000: 100, 16_000: 110}})[0]
    assert not growth.judge({f"publish: {growth.BESIDE} numbers": {1_000: 100, 16_000: 130}})[0]
