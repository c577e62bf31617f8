"""Where a CKAN is really reached: the setting CKAN_URL_MAP, `public=internal` pairs of base addresses."""

from schemas.settings import words


def internal_url(url: str, url_map: str) -> str:
    """*url* with the longest public address it begins with replaced by the internal one; as it is where none fits."""
    pairs = [pair.partition("=") for pair in words(url_map)]
    for public, _, internal in sorted(pairs, key=lambda pair: -len(pair[0])):
        base = public.strip().rstrip("/")
        if base and (url == base or url.startswith((f"{base}/", f"{base}?"))):
            return internal.strip().rstrip("/") + url.removeprefix(base)
    return url
