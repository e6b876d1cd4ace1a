"""Benchmarks: what calls cost here and in other packages, and a gate so that costs do not grow unnoticed.

- `cases`: what is measured. A new row begins here: its case in the module of its kind, its place in
  `groups.py`, its bound in `rows.py`. Other packages are in `peers`.
- `harness`: how it is measured: interleaved rounds, processes, the machine; `floor` has the smallest programs
  that could do the same.
- `gate`: what `make test` checks each change against: instruction counts, and how they grow.
- `report`: tables, pictures and the page, made from the measurements.
- `study`: what late curriculum information costs a training, in env steps; `make/study.mk`, docs/study.md.
- `core`: the same measurements in Rust, without Python.
- `frameworks`, `native`, `scores`: integrations, `traincast.h`, the scoreboard; each makes its own table.

Imports go one way: study → report and gate → cases → harness. `make/bench.mk` has the entry points.
"""
