"""Builds the packaged price book from two public price books and the hand-kept overlay."""
