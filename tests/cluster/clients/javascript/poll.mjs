// A pod with the library @kubernetes/client-node: reads a ConfigMap every 5 s, and prints the time and
// the status of every answer.
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";

const config = new KubeConfig();
config.loadFromCluster();
const api = config.makeApiClient(CoreV1Api);

async function poll() {
  let status = 200;
  try {
    await api.readNamespacedConfigMap({ name: "answer", namespace: "default" });
  } catch (refused) {
    status = refused.code ?? refused;
  }
  console.log(new Date().toISOString(), status);
}

poll();
setInterval(poll, 5000);
