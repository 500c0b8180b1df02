"""XML from a hospital: parsed without entities, external files or namespaces."""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from ecg_advmask.ecg.hospital.waveform import RefusedError
from ecg_advmask.errors import InputError

_MOST_TAGS: Final = 300_000
"""Of a file; the samples that are known have up to 10,000, and an element takes several hundred bytes of memory."""


def parse_xml(content: bytes) -> Element:
    """The root element; the names of all elements without their namespaces.

    Raises:
        RefusedError: the text is not well-formed, declares entities, or has more than 300,000 tags.
        InputError: the package defusedxml is missing.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    except ImportError:
        raise InputError(
            "reading XML recordings needs the package defusedxml, run pip install 'ecg-advmask[hospital]'"
        ) from None
    if content.count(b"<") > _MOST_TAGS:
        raise RefusedError(f"has more than {_MOST_TAGS} XML tags")
    try:
        root: Element = fromstring(content)
    except DefusedXmlException:
        raise RefusedError("declares XML entities, which are not followed") from None
    except ParseError as error:
        raise RefusedError(f"is not well-formed XML (line {error.position[0]})") from None
    except (ValueError, LookupError):
        raise RefusedError("is XML in an encoding that cannot be read") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def text_at(element: Element | None, path: str) -> str:
    """Text of the first element at ``path``, without white space around it; empty if there is none."""
    return "" if element is None else (element.findtext(path) or "").strip()


def attribute_at(element: Element, path: str, name: str) -> str:
    """An attribute of the first element at ``path``, without white space around it; empty if there is none."""
    found = element.find(path)
    return "" if found is None else found.get(name, "").strip()


def only(elements: Sequence[Element], what: str) -> Element:
    """The one element of a list.

    Raises:
        RefusedError: there is none, or more than one.
    """
    if len(elements) != 1:
        raise RefusedError(f"holds {len(elements) or 'no'} {what}, expected one")
    return elements[0]
