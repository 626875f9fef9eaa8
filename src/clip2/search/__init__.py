"""Words, or an example, → mined things, best first. No annotation is read."""
