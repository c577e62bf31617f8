"""How a CKAN API token is sent."""

import re

from schemas.errors import JobError

#: Headers that may carry a token. CKAN's name for it is a setting of the site (`apitoken_header_name`), so any
#: `X-` header is allowed; names that steer a request (Host, Content-*, Cookie …) are not.
_ALLOWED = re.compile(r"(?i)authorization|api-?key|x-[a-z0-9-]+")
_NEVER = re.compile(r"(?i)x-(forwarded|real|original|rewrite|http|host).*")


def token_header(api_key: str) -> tuple[str, str]:
    """(name, value) of the header that carries *api_key*: a bare token, or `Header: token`.

    A key with a colon names its own header, as it always did with CKAN Service Provider.
    Raises JobError, without showing the key, when it cannot be sent.
    """
    name, colon, value = api_key.partition(":")
    name, value = (name.strip(), value.strip()) if colon else ("Authorization", api_key.strip())
    if not value or any(ord(sign) < 32 or ord(sign) == 127 for sign in name + value):
        raise JobError("The API token of the job is empty or has a line break in it, so it cannot be sent.")
    if not value.isascii():
        raise JobError("The API token of the job has characters outside ASCII, so it cannot be sent.")
    if not _ALLOWED.fullmatch(name) or _NEVER.fullmatch(name):
        raise JobError(
            "The API token of the job names a header that may not carry a token. Use the bare token, or"
            " `Header: token` with Authorization or a header that begins with X-."
        )
    return name, value
