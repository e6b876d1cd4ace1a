"""The live view of `traincast top`.

- `monitor`: looks at all channels again and again; knows rates and how the steps went
- `rows`: what the tables show, in which order, and how wide
- `table`: a table that is updated in place
- `details`: one channel: its readers and its newest values
- `app`: the screen and its keys

`monitor` alone serves `top --json`; textual is loaded with `app`.
"""
