"""The health check of the container image. It imports little, since it runs every 30 s."""

import os
import sys
from http.client import HTTPConnection

port = os.environ.get("STREAMSERVER_SERVER__PORT") or os.environ.get("PORT") or "8080"
connection = HTTPConnection("127.0.0.1", int(port), timeout=4)
try:
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"http://127.0.0.1:{port}/healthz: {error}")
sys.exit(None if status == 200 else f"http://127.0.0.1:{port}/healthz: status {status}")
