"""The live view of `traincast top`.

- `monitor`: polls all channels, and keeps their rates and the history of their training steps
- `rows`: the columns, cells and order of the tables
- `table`: a table that is updated in place
- `details`: one channel: its readers and its newest values
- `app`: the screen and its keys

`top --json` needs `monitor` and `rows` alone; textual is loaded with `app`.
"""
