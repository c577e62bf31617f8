"""Run by the Python of the original DataPusher's own environment (api_rival.py); uses nothing of ours.

serve PORT                    its web service
push JOB                      its one job, with the body of `POST /job` as JSON; prints the seconds it took
"""

import collections
import collections.abc
import importlib
import json
import sys
import time

for _name in collections.abc.__all__:  # messytables looks for them where Python had them until 3.9
    if not hasattr(collections, _name):
        setattr(collections, _name, getattr(collections.abc, _name))

if __name__ == "__main__":
    web = importlib.import_module("ckanserviceprovider.web")
    web.init()
    jobs = importlib.import_module("datapusher.jobs")
    if sys.argv[1] == "serve":
        web.app.run("127.0.0.1", int(sys.argv[2]), threaded=True)
    else:
        started = time.perf_counter()
        jobs.push_to_datastore("bench", json.loads(sys.argv[2]))
        print(time.perf_counter() - started)
