"""Hook of mkdocs: words with hyphens, such as `--far`, are not broken at the end of a line."""

import re

CODE = re.compile(r"<code[ >].*?</code>", re.S)
TAG = re.compile(r"(<[^>]+>)")
WORD = re.compile(r"(?<![\w&#;.-])[\w.]*-[\w.-]{1,40}")


def on_page_content(html: str, **_: object) -> str:
    """Keep each hyphenated word of the page's code in one piece (mkdocs calls this for every page)."""
    return CODE.sub(lambda block: "".join(map(keep_words, TAG.split(block[0]))), html)


def keep_words(part: str) -> str:
    """A tag as it is; a text with its hyphenated words in spans that do not wrap."""
    return part if part.startswith("<") else WORD.sub(r'<span class="word">\g<0></span>', part)
