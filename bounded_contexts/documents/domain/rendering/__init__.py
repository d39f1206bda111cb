"""The format "Headwater Document": what may be asked, and how templates and data become plain blocks. docs/rendering.md"""
