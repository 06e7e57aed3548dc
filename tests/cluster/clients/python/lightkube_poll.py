"""A pod with the library lightkube: reads a ConfigMap every 5 s, and prints the time and the status of
every answer, also of those that the library handles itself."""

import time

import httpx2
from lightkube import Client
from lightkube.resources.core_v1 import ConfigMap

from shown import show


class Shown(httpx2.HTTPTransport):
    def handle_request(self, request):
        answer = super().handle_request(request)
        show(answer.status_code)
        return answer


trusted = httpx2.create_ssl_context(
    verify="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
client = Client(transport=Shown(verify=trusted))
while True:
    try:
        client.get(ConfigMap, "answer", namespace="default")
    except Exception as failed:
        print(failed, flush=True)
    time.sleep(5)
