import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.io.ByteArrayInputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

/**
 * A MongoDB-protocol server for tests: PORT [FILE [CERTIFICATE KEY]].
 *
 * <p>FILE "-" keeps everything in memory; else every command that was answered is in the file, so
 * that killing this process loses nothing that was acknowledged. With a certificate it speaks TLS.
 * It prints a line when it listens, and ends when its standard input closes, so that it never
 * outlives the test that started it.
 */
public class MongoPeer {
    public static void main(String[] args) throws Exception {
        String file = args.length > 1 ? args[1] : "-";
        MongoServer server = new MongoServer(file.equals("-") ? new MemoryBackend() : durable(file));

        if (args.length > 3) {
            byte[] certificate = Files.readAllBytes(Path.of(args[2]));
            server.enableSsl(key(Files.readString(Path.of(args[3]))), null,
                    (X509Certificate) CertificateFactory.getInstance("X.509")
                            .generateCertificate(new ByteArrayInputStream(certificate)));
        }
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        System.out.println("listening");
        while (System.in.read() >= 0) {
            continue;
        }
        server.shutdownNow();
        System.exit(0);
    }

    /** Commits after every command; the backend alone would do so once a second. */
    private static MongoBackend durable(String file) {
        H2Backend backend = new H2Backend(file);

        return (MongoBackend) Proxy.newProxyInstance(MongoPeer.class.getClassLoader(),
                new Class<?>[] {MongoBackend.class}, (proxy, method, args) -> {
                    try {
                        Object answer = method.invoke(backend, args);

                        if (method.getName().startsWith("handle") && !backend.getMvStore().isClosed()) {
                            backend.commit();
                        }
                        return answer;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private static PrivateKey key(String pem) throws Exception {
        String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");

        return KeyFactory.getInstance("RSA")
                .generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64)));
    }
}
