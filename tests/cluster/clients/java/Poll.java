import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.util.ClientBuilder;
import java.time.Instant;

/** A pod with the official library: reads a ConfigMap every 5 s, and prints time and status. */
class Poll {
  public static void main(String[] arguments) throws Exception {
    CoreV1Api api = new CoreV1Api(ClientBuilder.cluster().build());
    while (true) {
      int status = 200;
      try {
        api.readNamespacedConfigMap("answer", "default").execute();
      } catch (ApiException refused) {
        status = refused.getCode();
      }
      System.out.println(Instant.now() + " " + status);
      Thread.sleep(5000);
    }
  }
}
