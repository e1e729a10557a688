import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Runs one OpenSearch node on a free port of loopback, with all its files in the folder named. */
class Start {
    public static void main(String[] arguments) throws InterruptedException {
        new OpenSearchRunner()
            .onBuild((node, settings) -> {
                settings.put("network.host", "127.0.0.1");
                settings.put("http.port", "0");
                settings.put("transport.port", "0");
                settings.put("node.portsfile", "true");
                settings.put("discovery.type", "single-node");
                settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
            })
            .build(OpenSearchRunner.newConfigs()
                .basePath(arguments[0]).numOfNode(1).clusterName("cyberterr-test").useLogger());
        Thread.currentThread().join();
    }
}
