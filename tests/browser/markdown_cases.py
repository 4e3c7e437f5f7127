"""Sources in Markdown for the tests of the page."""

from __future__ import annotations

CASES = {
    "# One\n## Two\n###### Six": "<h2>One</h2><h3>Two</h3><h6>Six</h6>",
    "One\n===\nTwo\n---\n#no": "<h2>One</h2><h3>Two</h3><p>#no</p>",
    "# a ## b ##": "<h2>a ## b</h2>",
    "**bold** *em* __b__ _e_ ~~gone~~ ***both***": "<p><strong>bold</strong> <em>em</em> <strong>b</strong> <em>e</em>"
    " <del>gone</del> <em><strong>both</strong></em></p>",
    "*a **b** c* **a *b* c**": "<p><em>a <strong>b</strong> c</em> <strong>a <em>b</em> c</strong></p>",
    "2*3*4 snake_case_name 5 * 6 * 7": "<p>2<em>3</em>4 snake_case_name 5 * 6 * 7</p>",
    "**open `open [open ~~open": "<p>**open `open [open ~~open</p>",
    r"\*no\* \a": r"<p>*no* \a</p>",
    "`a` `` b`c `` ` ` `*x*`": "<p><code>a</code> <code>b`c</code> <code> </code> <code>*x*</code></p>",
    "a  \nb\\\nc\nd": "<p>a<br>b<br>c\nd</p>",
    "one\n\ntwo\n***\nthree": "<p>one</p><p>two</p><hr><p>three</p>",
    "- a\n- b\n  - c\n    1. d\n- e": "<ul><li><p>a</p></li><li><p>b</p><ul><li><p>c</p><ol><li><p>d</p></li></ol></li>"
    "</ul></li><li><p>e</p></li></ul>",
    "3. a\n4. b\n\n   more\n\nafter": '<ol start="3"><li><p>a</p></li><li><p>b</p><p>more</p></li></ol><p>after</p>',
    "- a\n* b": "<ul><li><p>a</p></li></ul><ul><li><p>b</p></li></ul>",
    "- [ ] a\n- [x] b\n- [x]": '<ul><li><p><span role="img" aria-label="to do">☐</span> a</p></li>'
    '<li><p><span role="img" aria-label="done">☑</span> b</p></li><li><p>[x]</p></li></ul>',
    "1986\\. A year\n14. is no list": "<p>1986. A year\n14. is no list</p>",
    "> a\nlazy\n>> b\n\nc": "<blockquote><p>a\nlazy</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>",
    "> ```\n> x\nout": "<blockquote><pre>:<code>x</code></pre></blockquote><p>out</p>",
    "```python\nif x:\n\treturn `1`\n\n\n```\nafter": "<pre>python:<code>if x:\n\treturn `1`\n\n</code></pre>"
    "<p>after</p>",
    "~~~ js x\n```\n~~~": "<pre>js:<code>```</code></pre>",
    "```\nnot closed": "<pre>:<code>not closed</code></pre>",
    "- a\n\n  ```\n  b\n    c\n  ```": "<ul><li><p>a</p><pre>:<code>b\n  c</code></pre></li></ul>",
    "    a\n\n      b\nc": "<pre>:<code>a\n\n  b</code></pre><p>c</p>",
    "| a | b |\n|:--|:-:|\n| `1\\|2` | **x** |\n| 3 |\n\nend": "<div><table><thead><tr>"
    '<th scope="col" class="left">a</th>'
    '<th scope="col" class="center">b</th></tr></thead><tbody><tr><td class="left"><code>1|2</code></td>'
    '<td class="center"><strong>x</strong></td></tr><tr><td class="left">3</td></tr></tbody></table></div><p>end</p>',
    "Text:\n| a |\n|--:|\n| 1 | dropped |": '<p>Text:</p><div><table><thead><tr><th scope="col" class="right">a</th>'
    '</tr></thead><tbody><tr><td class="right">1</td></tr></tbody></table></div>',
    "a | b\n--|--\n1 | 2\n# h": '<div><table><thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>'
    "<tbody><tr><td>1</td><td>2</td></tr></tbody></table></div><h2>h</h2>",
    "| no | table |\nat all": "<p>| no | table |\nat all</p>",
    "[a](http://x.y/_z_ 'T') [**b**](https://x.y/(1)) [c](mailto:a@b.c)": '<p><a href="http://x.y/_z_" title="T">a</a> '
    '<a href="https://x.y/(1)"><strong>b</strong></a> <a href="mailto:a@b.c">c</a></p>',
    "See https://x.y/a_b_c. (http://x.y/(z)) <https://a.b> <me@x.y>": "<p>See "
    '<a href="https://x.y/a_b_c">https://x.y/a_b_c</a>. '
    '(<a href="http://x.y/(z)">http://x.y/(z)</a>) <a href="https://a.b/">https://a.b</a> '
    '<a href="mailto:me@x.y">me@x.y</a></p>',
    "src=\"https://x.y/z\"> 'https://x.y/'": '<p>src="<a href="https://x.y/z">https://x.y/z</a>"&gt; '
    "'<a href=\"https://x.y/\">https://x.y/</a>'</p>",
    "![A cat](https://x.y/cat.png) ![](https://x.y/z)": '<p><a href="https://x.y/cat.png">A cat</a> '
    '<a href="https://x.y/z">image</a></p>',
    "[![alt](https://x.y/i)](https://x.y/l)": '<p><a href="https://x.y/l">alt</a></p>',
    "[a [b](http://x.y) c](http://z.z)": '<p>[a <a href="http://x.y/">b</a> c]('
    '<a href="http://z.z/">http://z.z</a>)</p>',
    "<b onclick=x>hi</b> <!-- c -->\n<script>x</script>": "<p>&lt;b onclick=x&gt;hi&lt;/b&gt; &lt;!-- c --&gt;\n"
    "&lt;script&gt;x&lt;/script&gt;</p>",
    "&lt;b&gt; &#65;&#x42; &amp;amp; &nosuch; &#0;": "<p>&lt;b&gt; AB &amp;amp; &amp;nosuch; \ufffd</p>",
}
HOSTILE = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java&#9;script:alert(1)",
    "java&Tab;script:alert(1)",
    "java&NewLine;script:alert(1)",
    "&#106;avascript:alert(1)",
    "javascript&colon;alert(1)",
    "\x01javascript:alert(1)",
    "<javascript:alert(1)>",
    "<java\tscript:alert(1)>",
    "data:text/html,<script>x</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:http://x/y",
    "//evil.example",
    "/relative",
    "#here",
    "http:evil",
    "view-source:http://x",
)
ATOMS = (
    *(
        "#",
        "# ",
        "## x",
        "\n",
        "\n",
        "\n\n",
        "- ",
        "* ",
        "1. ",
        "2) ",
        "> ",
        ">",
        "*",
        "**",
        "_",
        "__",
        "~~",
        "`",
        "``",
    ),
    *(
        "```",
        "```js\n",
        "~~~",
        "|",
        "|a|b|",
        "\n|--|:-:|\n",
        "--|--",
        "---",
        "===",
        "[",
        "](",
        ")",
        "![",
        "](http://a.b)",
    ),
    *(
        "](javascript:x)",
        "http://x.y/z",
        "<",
        ">",
        "&amp;",
        "\\",
        "\\|",
        " ",
        "  ",
        "    ",
        "\t",
        "word",
        "a",
        "é",
        "😀",
    ),
    *("+", "=", "[ ] ", "[x] ", "  \n", "<http://a.b>", '"t"'),
)
SHAPES = {
    "one long line": ("", "word "),
    "one long word": ("", "x"),
    "a paragraph of many lines": ("", "a *b* `c` [d](http://e.f)\n"),
    "one block of code": ("```\n", "line\n"),
    "a long list": ("", "- a\n"),
    "a long table": ("|h|h|\n|-|-|\n", "|a|b|\n"),
    "one long row": ("|h|h|\n|-|-|\n", "| a"),
    "nested quotes": ("", ">"),
    "nested lists": ("", "- "),
    "emphasis that never ends": ("", "**a "),
    "emphasis in words": ("", "a*b_"),
    "nested emphasis": ("", "*_"),
    "brackets": ("", "["),
    "links that never end": ("", "[a](b"),
    "images that never end": ("", "![a](<b"),
    "code that never ends": ("", "`` a `"),
    "addresses in addresses": ("", "http://a.b/("),
    "blanks": ("# a", " "),
    "heading marks": ("# a", " #"),
    "backslashes": ("", "\\"),
    "entities": ("", "&a"),
}

JSON = {
    '{"id":12345678901234567890,"rate": 1.0, "in":{"a":[1,[] , {}]}}': (
        '{\n  "id": 12345678901234567890,\n  "rate": 1.0,\n  "in": {\n    "a": [\n      1,\n      [],\n'
        "      {}\n    ]\n  }\n}"
    ),
    r'["{a: [1,2]} \" , \\",true]': '[\n  "{a: [1,2]} \\" , \\\\",\n  true\n]',
    '{"not": "whole': None,
    "7": "7",
}
"""The arguments of tool calls, and what is shown of them."""
