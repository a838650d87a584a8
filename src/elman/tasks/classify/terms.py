"""The built-in example of the classify job: what languages call countries, languages and currencies."""

from typing import TYPE_CHECKING

from elman.errors import SetupError

if TYPE_CHECKING:
    from polars import DataFrame

LANGUAGES = {
    "cs": "Czech", "da": "Danish", "de": "German", "en": "English", "es": "Spanish", "et": "Estonian",
    "fi": "Finnish", "fr": "French", "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "sv": "Swedish", "tr": "Turkish",
}  # fmt: skip


def builtin_terms() -> "DataFrame":
    """A table with the columns "term" and "language": terms that are written alike in two languages are left out.

    Raises:
        SetupError: Babel is not installed.
    """
    import polars

    try:
        from babel import Locale
    except ImportError:
        raise SetupError(
            "the built-in example is made of Babel's data, not installed here: pip install 'elman[jobs]', or give data."
        ) from None
    owners: dict[str, set[str]] = {}
    for code, language in LANGUAGES.items():
        locale = Locale(code)
        for terms in (locale.territories, locale.languages, locale.currencies):
            for term in terms.values():
                owners.setdefault(term, set()).add(language)
    rows = sorted((term, min(languages)) for term, languages in owners.items() if len(languages) == 1)
    return polars.DataFrame({"term": [term for term, _ in rows], "language": [language for _, language in rows]})
