// Prints what stands at an address, with Java's own client. Java reads no variable for a proxy.
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Client {
    public static void main(String[] words) throws Exception {
        var client = HttpClient.newBuilder();
        String proxy = System.getenv("HTTPS_PROXY");
        if (proxy != null) {
            URI at = URI.create(proxy);
            client.proxy(ProxySelector.of(new InetSocketAddress(at.getHost(), at.getPort())));
        }
        var request = HttpRequest.newBuilder(URI.create(words[0])).build();
        var answer = client.build().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.print(answer.version() + " " + answer.statusCode() + " " + answer.body());
    }
}
