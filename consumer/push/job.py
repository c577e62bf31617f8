"""The main job: a file that was uploaded or linked in CKAN becomes a table of its DataStore. The story, top to bottom."""

from pathlib import Path
from tempfile import TemporaryDirectory

from consumer import job
from consumer.push import story
from consumer.push.ckan import Ckan, CkanSettings
from consumer.push.containers import UnpackLimits
from consumer.push.dictionary import overrides
from consumer.push.left_behind import former_table
from consumer.push.loaders import choose_loader
from consumer.push.open_table import open_table
from consumer.push.request import Request
from consumer.push.source_file import fetch_file, hints_of
from schemas.messages import Json
from schemas.settings import words


@job.asynchronous
def push_to_datastore(task_id: str, input: dict[str, Json]) -> dict[str, Json]:
    """Loads the file of one resource; gives the report that becomes the job's `data` (docs/tables.md, "The report").

    CKAN's task stays `pending` until the callback, which comes after this. While it is, CKAN submits nothing, whatever is
    changed in the resource (ckanext/datapusher/plugin.py, _submit_to_datapusher).
    """
    settings, report = job.settings(), job.report()
    request = Request.of(input, settings)
    story.tell_unknown_options(input, report)
    ckan = Ckan(request.ckan_url, request.api_key, CkanSettings.of(settings))
    resource = ckan.resource(request.resource_id)
    if resource.url_type in words(settings.skip_url_types):
        return story.has_no_file(resource, report)
    with TemporaryDirectory(prefix="datapusher-") as name:
        folder = Path(name)
        known = story.known_md5(resource, ckan, request)
        with report.stage("fetching"):
            download = fetch_file(resource, ckan, request.api_key, folder, settings, report, known)
        if download is None or download.md5 == known:
            return story.unchanged(resource.hash, download, report)
        # A new table is what small files wait for: one call of CKAN less.
        asked = request.mode != "replace" or resource.datastore_active is not False
        existing = ckan.table(resource.id) if asked else None
        if existing is None and request.mode == "replace":
            existing = former_table(job.memory())
        wishes = overrides(existing, request.mode)
        with report.stage("opening"):
            hints, limits = hints_of(resource, download), UnpackLimits.of(settings)
            table = open_table(download.path, hints, request.options, folder, overrides=wishes, limits=limits)
            table = story.ToldTable(table, report)
        story.tell_heading(table.heading, report)
        if request.options.dry_run:
            return story.preview(table, download, report)
        loader = choose_loader(settings, ckan, folder, job.memory())
        if existing and not loader.atomic:
            resource = story.forget_hash(ckan, resource)
        with report.stage("loading"):
            loaded = loader.load(table, request.target(existing, task_id, download.md5, asked=asked), report)
        story.tell_drift(loaded.drift, report)
        story.mark_resource(ckan, resource, download, table.tally, request, report)
        return story.ended(table, loaded, download, resource, report)
