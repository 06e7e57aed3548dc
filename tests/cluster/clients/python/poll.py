"""A pod with the library kubernetes: reads a ConfigMap every 5 s, and prints the time and the status of
every answer."""

import time

from kubernetes import client, config
from kubernetes.client.rest import ApiException

from shown import show

config.load_incluster_config()
api = client.CoreV1Api()
while True:
    try:
        api.read_namespaced_config_map("answer", "default")
        show(200)
    except ApiException as refused:
        show(refused.status)
    except Exception as failed:  # the API server was not reached
        print(failed, flush=True)
    time.sleep(5)
