import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.DefaultKubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.okhttp.OkHttpClientFactory;
import java.time.Instant;
import okhttp3.OkHttpClient;
import okhttp3.Response;

/**
 * A pod with the library of fabric8: reads a ConfigMap every 5 s, and prints time and status of every
 * answer, also of those that the library handles itself.
 */
class Poll {
  public static void main(String[] arguments) throws Exception {
    Config config = Config.autoConfigure(null);
    var client = new DefaultKubernetesClient(new Shown().createHttpClient(config), config);
    while (true) {
      try {
        client.configMaps().inNamespace("default").withName("answer").get();
      } catch (KubernetesClientException refused) {
        System.out.println(refused.getMessage());
      }
      Thread.sleep(5000);
    }
  }

  static class Shown extends OkHttpClientFactory {
    @Override
    protected void additionalConfig(OkHttpClient.Builder builder) {
      builder.addNetworkInterceptor(
          chain -> {
            Response answer = chain.proceed(chain.request());
            System.out.println(Instant.now() + " " + answer.code());
            return answer;
          });
    }
  }
}
