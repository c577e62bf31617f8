"""Other names of a table: looked at before anything changes."""

from consumer.push.ckan import Ckan
from consumer.push.load import Target
from schemas.errors import JobError

#: PostgreSQL's limit for the name of a table.
MAX_NAME_BYTES = 63


def check_aliases(ckan: Ckan, target: Target) -> None:
    """Raises JobError for an alias that cannot be had: CKAN would refuse it only after the old table has gone."""
    kept = target.existing.aliases if target.existing else ()
    for alias in target.aliases or ():
        if alias.startswith("_") or set(alias) & set('%"') or len(alias.encode()) > MAX_NAME_BYTES:
            raise JobError(f"The alias {alias!r} cannot be: no leading _, no % or quotes, at most {MAX_NAME_BYTES} bytes.")
        if alias not in kept and ckan.table(alias) is not None:
            raise JobError(f"The alias {alias!r} is taken: another table of this CKAN is called so.")
