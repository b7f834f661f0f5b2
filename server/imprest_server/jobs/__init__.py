"""Work that nobody asks for: each job has a `run_once`, and `repeat` runs it again and again."""
