"""Hooks of the documentation build (mkdocs.yml)."""


def on_page_markdown(markdown: str, page, **_: object) -> str:
    """Keep `hub:NAME[:CONFIG][@SPLIT]` from being read as a link with a reference."""
    if page.file.src_uri == "reference/recipe.md":
        return markdown.replace("[:CONFIG][@SPLIT]", r"[:CONFIG]\[@SPLIT]")
    return markdown
