"""2D boxes and images → masks: any promptable segmenter of transformers, or masks on disk. docs/lifting.md"""
