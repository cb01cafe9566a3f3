"""The page for operators under `/ui/`: what `lorayard top` shows, in a browser.

Its files are plain HTML, CSS and modules under `static/`; its data comes over `/ui/api/`. It reads the yard
by `YardSnapshot` and by what the client offers.
"""
