"""An HTML page as a test reads it."""

import html.parser

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Checks that elements nest, and collects tags, attributes, text, and the text of each table's cells."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text, self.tables = [], [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
        elif tag == "br" and self._in_cell():
            self.tables[-1][-1][-1] += " "

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f"{data} "
        if self._in_cell():
            self.tables[-1][-1][-1] += data

    def _in_cell(self):
        return bool({"td", "th"} & set(self.open))
