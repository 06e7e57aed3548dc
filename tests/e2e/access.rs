//! An agent's own access to the Kubernetes API, with exactly the rights that the chart grants.

use std::path::{Path, PathBuf};

use crate::bed::Cluster;

pub const ACCOUNT: &str = "system:serviceaccount:tokenwatch:tokenwatch";
/// What the chart's ClusterRole grants (deploy/chart/templates).
const RULES: &str = r#"
  - {apiGroups: [""], resources: [pods], verbs: [list, watch]}
  - {apiGroups: [""], resources: [serviceaccounts], verbs: [get]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}"#;

pub fn account() -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: tokenwatch}}\n---\napiVersion: \
         v1\nkind: ServiceAccount\nmetadata: {{name: tokenwatch, namespace: \
         tokenwatch}}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: \
         ClusterRole\nmetadata: {{name: tokenwatch}}\nrules:{RULES}\n---\napiVersion: \
         rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: \
         tokenwatch}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: \
         tokenwatch}}\nsubjects: [{{kind: ServiceAccount, name: tokenwatch, namespace: \
         tokenwatch}}]\n"
    )
}

/// A kubeconfig with the account's own token in a file, as kubelet keeps it.
pub fn kubeconfig(cluster: &Cluster, directory: &Path) -> PathBuf {
    kubeconfig_for(cluster, directory, cluster.get("APISERVER"))
}

/// The same for another address of the API server.
pub fn kubeconfig_for(cluster: &Cluster, directory: &Path, server: &str) -> PathBuf {
    give_token(cluster, directory);
    let (file, ca) = (directory.join("agent.kubeconfig"), cluster.get("CA_FILE"));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"{server}\", \
         certificate-authority: {ca}}}}}]\nusers: [{{name: u, user: {{tokenFile: \
         token}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: \
         x\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// Replaces the token file by a rename, as kubelet does.
pub fn give_token(cluster: &Cluster, directory: &Path) {
    let token = cluster.kubectl(&[
        "create",
        "token",
        "tokenwatch",
        "--namespace",
        "tokenwatch",
        "--duration=2h",
    ]);
    std::fs::write(directory.join("new-token"), token.trim()).unwrap();
    std::fs::rename(directory.join("new-token"), directory.join("token")).unwrap();
}
