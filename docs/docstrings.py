"""Docstrings and signatures of ganzoo's classes as Markdown."""

import ast
import inspect
import re
from collections.abc import Callable
from functools import cache
from textwrap import dedent, indent

from jsonargparse import ArgumentParser

HEADER = re.compile(r"(Args|Attributes|Returns|Raises|Differences from [^:]+):(?: (.*))?")
ITEM = re.compile(r"(\w+(?:, \w+)*): (.*)", re.DOTALL)
# Code, addresses and papers, which stay as they are, between plain text.
SPECIAL = re.compile(r"(`[^`]+`)|(https?://[^\s)>,]*[^\s)>,.;:])|arXiv:(\d{4}\.\d{4,5})")

Link = Callable[[str], str | None]  # an exported name -> where it is described


def sections(docstring: str) -> list[tuple[str, str]]:
    """The parts of a docstring, in order: (header, text), plain text under the header ""."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    blank = True
    for line in inspect.cleandoc(docstring).splitlines():
        if header := HEADER.fullmatch(line):
            parts.append((header[1], [header[2] or ""]))
        elif blank and line and not line[0].isspace() and parts[-1][0]:  # a section ends where text begins again
            parts.append(("", [line]))
        else:
            parts[-1][1].append(line)
        blank = not line
    texts = [
        (header, dedent("\n".join(lines)).strip() if not lines[0] else "\n".join(lines).strip()) for header, lines in parts
    ]
    return [(header, text) for header, text in texts if text]


def items(text: str) -> list[tuple[list[str], str]]:
    """`name, name: what` with indented continuations -> [(names, what)]."""
    found = re.split(r"\n(?=\S)", text)
    matched = [(ITEM.fullmatch(item), item) for item in found]
    return [(match[1].split(", "), match[2]) if match else ([], item) for match, item in matched]


def markdown(text: str, link: Link = lambda name: None) -> str:
    """Plain text whose only markup is backticks and lists. Lines are kept."""

    def special(match: re.Match[str]) -> str:
        code, address, paper = match.groups()
        if code:
            where = link(code.strip("`"))
            return f"[{code}]({where})" if where else code
        return f"<{address}>" if address else f"[arXiv:{paper}](https://arxiv.org/abs/{paper})"

    parts, end = [], 0
    for match in SPECIAL.finditer(text):
        parts += [escaped(text[end : match.start()]), special(match)]
        end = match.end()
    return "".join([*parts, escaped(text[end:])])


def escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("{", "&#123;")
    return re.sub(r"([*_\\[\]])", r"\\\1", text)


def definition(terms: list[str], text: str, link: Link) -> str:
    """One entry of a definition list; the terms are code. Without a text, a paragraph for each."""
    if not text:
        return "".join(f"`{term}`\n\n" for term in terms)
    shown = "".join(f"`{term}`\n" for term in terms)
    return f"{shown}:   {indent(markdown(dedent_rest(text), link), '    ').strip()}\n"


def dedent_rest(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first}\n{dedent(rest)}".strip()


def description(kind: type, link: Link) -> str:
    """What the class's docstring says, but for its arguments."""
    shown = []
    for header, text in sections(kind.__doc__ or ""):
        if header.startswith("Differences"):
            shown.append(f'!!! note "{header}"\n\n{indent(markdown(dedent_rest(text), link), "    ")}\n')
        elif header in ("Attributes", "Returns"):
            shown += [f"**{header}**\n", *(definition(names, what, link) for names, what in items(text))]
        elif not header:
            shown.append(markdown(text, link) + "\n")
    return "\n".join(shown)


def raises(kind: type, link: Link) -> str:
    found = [item for header, text in sections(kind.__doc__ or "") if header == "Raises" for item in items(text)]
    return "\n".join(definition(names, what, link) for names, what in found)


@cache
def documented(kind: type) -> dict[str, str]:
    """What the class's own docstring says of each argument."""
    found = [item for header, text in sections(vars(kind).get("__doc__") or "") if header == "Args" for item in items(text)]
    return {name: what for names, what in found for name in names}


@cache
def signature(kind: type) -> dict[str, str]:
    """The optional and keyword-only parameters of the class's own constructor, as they are written."""
    constructor = vars(kind).get("__init__")
    if not inspect.isfunction(constructor):
        return {}
    source = dedent(inspect.getsource(constructor))
    [function] = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    annotations = {of.arg: of.annotation for of in (*function.args.args, *function.args.kwonlyargs)}
    found = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        if name in annotations and (parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty):
            annotation = annotations[name]
            written = ast.get_source_segment(source, annotation) if annotation else "Any"
            default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
            found[name] = " ".join(f"{name}: {written}{default}".split())
    return found


def arguments(kind: type) -> list[tuple[type, list[tuple[list[str], str]]]]:
    """What the class can be given: for itself and each class that it extends, the arguments described there, as they are
    written in the first signature that has them: [(class, [(signatures, what)])]. What `ganzoo` would refuse is left out."""
    accepted = [name.removeprefix("of.") for name in ArgumentParser().add_class_arguments(kind, "of", fail_untyped=False)]
    lineage = [base for base in kind.__mro__ if base.__module__.startswith("ganzoo.")]
    found: dict[type, dict[str, list[str]]] = {}
    for name in accepted:
        written = next((signature(base)[name] for base in lineage if name in signature(base)), None)
        said = next((base for base in lineage if name in documented(base)), None)
        owner = said or next((base for base in lineage if name in signature(base)), None)
        if written and owner:
            found.setdefault(owner, {}).setdefault(documented(owner).get(name, ""), []).append(written)
    return [(base, [(terms, what) for what, terms in found[base].items()]) for base in lineage if base in found]
