use super::*;

const UID: &str = "0f3a4b5c-1111-2222-3333-444455556666";
const UID_: &str = "0f3a4b5c_1111_2222_3333_444455556666";
const STATIC: &str = "4c5b3a0f11112222333344445555aaaa";
const ID: &str = "8d0c5a2b9e7f4c1d8d0c5a2b9e7f4c1d8d0c5a2b9e7f4c1d8d0c5a2b9e7f4c1d";
const OTHER: &str = "1111111111111111222222222222222233333333333333334444444444444444";

/// The names in a row of the table become these.
fn filled(row: &str) -> String {
    let names = [("{uid_}", UID_), ("{uid}", UID), ("{static}", STATIC), ("{id}", ID)];
    let names = names.into_iter().chain([("{other}", OTHER)]);
    names.fold(row.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn found(row: &str) -> Option<(Option<String>, String)> {
    let first = containers(filled(row).as_bytes()).into_iter().next()?;
    Some((first.pod_uid, first.id))
}

#[test]
fn a_container_is_found_in_every_form_of_path() {
    let systemd = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid_}.slice";
    let kind = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                kubelet-kubepods-besteffort-pod{uid_}.slice";
    let paths = [
        format!("{systemd}/cri-containerd-{{id}}.scope"),
        format!("{systemd}/crio-{{id}}.scope"),
        format!("{systemd}/docker-{{id}}.scope"),
        "/kubepods.slice/kubepods-pod{uid_}.slice/cri-containerd-{id}.scope".to_owned(),
        "/kubepods/besteffort/pod{uid}/{id}".to_owned(),
        "/kubepods/pod{uid}/{id}".to_owned(),
        "/kubepods/burstable/pod{uid}/crio-{id}".to_owned(),
        format!("{kind}/cri-containerd-{{id}}.scope"),
        format!("/docker/{{other}}{kind}/cri-containerd-{{id}}.scope"),
        format!("/system.slice/docker-{{other}}.scope{kind}/cri-containerd-{{id}}.scope"),
        format!("/../../..{kind}/cri-containerd-{{id}}.scope"),
        // From a private cgroup namespace of a pod of another class, and of the same class.
        "/../../../kubepods-besteffort.slice/kubepods-besteffort-pod{uid_}.slice/\
         cri-containerd-{id}.scope"
            .to_owned(),
        "/../../kubepods-burstable-pod{uid_}.slice/cri-containerd-{id}.scope".to_owned(),
        "/../../../besteffort/pod{uid}/{id}".to_owned(),
        "/../../pod{uid}/{id}".to_owned(),
        // What runs in the container, or the runtime, has cgroups of its own below.
        format!("{systemd}/cri-containerd-{{id}}.scope/init.scope"),
        format!("{systemd}/crio-{{id}}.scope/container"),
        format!("{systemd}/cri-containerd-{{id}}.scope/docker/{{other}}"),
        "/kubepods/besteffort/pod{uid}/{id}/system.slice/a.service".to_owned(),
    ];
    for path in paths {
        let expected = Some((Some(UID.to_owned()), ID.to_owned()));
        assert_eq!(found(&format!("0::{path}\n")), expected, "{path}");
    }
}

#[test]
fn a_static_pod_has_a_hash_for_a_uid() {
    let paths = [
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{static}.slice/\
         cri-containerd-{id}.scope",
        "0::/kubepods/burstable/pod{static}/{id}",
    ];
    for path in paths {
        assert_eq!(found(path), Some((Some(STATIC.to_owned()), ID.to_owned())), "{path}");
    }
}

#[test]
fn a_container_of_the_agents_own_pod_has_an_id_alone() {
    for path in ["0::/../cri-containerd-{id}.scope", "0::/../{id}", "0::/../crio-{id}.scope/x"] {
        assert_eq!(found(path), Some((None, ID.to_owned())), "{path}");
    }
}

#[test]
fn version_1_has_a_line_for_each_hierarchy() {
    let text = "12:freezer:/\n11:memory:/kubepods/burstable/pod{uid}/{id}\n\
                10:name=systemd:/kubepods/burstable/pod{uid}/{id}\n0::/system.slice/a.service\n";
    assert_eq!(found(text), Some((Some(UID.to_owned()), ID.to_owned())));
}

#[test]
fn what_is_no_container_of_a_pod_is_none() {
    let rows = [
        "",
        "\n\n",
        "0::/",
        "0::/..",
        "0::/../..",
        "0::",
        "0:",
        "nonsense",
        "0::/user.slice/user-1000.slice/session-1.scope",
        "0::/system.slice/containerd.service",
        "0::/system.slice/docker-{id}.scope",
        "0::/machine.slice/libpod-{id}.scope",
        "0::/podman.slice/{id}",
        "0::/../../system.slice/docker-{id}.scope",
        // The monitor of a container, in its pod's cgroup.
        "0::/kubepods.slice/kubepods-pod{uid_}.slice/crio-conmon-{id}.scope",
        "0::/kubepods/pod{uid}/crio-conmon-{id}",
        // The pod's own cgroup, in which Kata has its virtual machine.
        "0::/kubepods/burstable/pod{uid}",
        "0::/kubepods/burstable/pod{uid}/kata_overhead",
        "0::/kubepods/burstable/pod{uid}/1{id}",
        "0::/kubepods/burstable/podX{uid}/{id}",
        "0::/kubepods/burstable/pod0-{uid}/{id}",
        "0::/kubepods/burstable/pod------/{id}",
    ];
    for row in rows {
        assert_eq!(found(row), None, "{row:?}");
    }
}

#[test]
fn every_pod_in_the_path_is_named_outermost_first() {
    let inner = UID.replace('0', "1");
    let path = format!("0::/kubepods/pod{{uid}}/{{id}}/kubepods/besteffort/pod{inner}/{{other}}");
    let all = containers(filled(&path).as_bytes());
    let expected = [(UID, ID), (inner.as_str(), OTHER)];
    let expected =
        expected.map(|(uid, id)| InContainer { pod_uid: Some(uid.to_owned()), id: id.to_owned() });
    assert_eq!(all, expected);
    let hostile = format!("0::{}", filled("/pod{uid}/{id}").repeat(1_000));
    assert_eq!(containers(hostile.as_bytes()).len(), MAX_PODS);
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let mut text = b"0::/\xff\xfe/".to_vec();
    text.extend(filled("kubepods/pod{uid}/{id}").bytes());
    assert_eq!(containers(&text).len(), 1);
}
