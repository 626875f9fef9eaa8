"""Text prompts + images → 2D boxes: any Hugging Face zero-shot detector, or boxes already on disk. docs/detectors.md"""
