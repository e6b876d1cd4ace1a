"""Tables, pictures and the page, made from the measurements."""
