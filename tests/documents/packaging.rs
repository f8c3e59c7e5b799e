//! Manifests, image and package name the same paths, ports and rights. No cluster is needed for that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file, in the shape of JSON.
fn documents(path: &str) -> Vec<Value> {
    let text = text(path);
    text.split("\n---\n")
        .map(|part| serde_yaml_ng::from_str(part).unwrap_or_else(|error| panic!("{path}: {error}")))
        .collect()
}

/// The arguments of an instruction of the Dockerfile's last stage, as JSON where they are.
fn instruction(name: &str) -> String {
    let dockerfile = text("Dockerfile");
    let line = dockerfile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("the Dockerfile has {name}"))
        .to_owned()
}

fn words(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// The nameservers of a fleet.
const FLEET: &str = "packaging/kubernetes/fleet.yaml";

/// The workloads and their pods.
fn pods() -> Vec<(&'static str, Value)> {
    let workload = |path| documents(path).remove(0)["spec"]["template"].take();
    [
        "packaging/kubernetes/daemonset.yaml",
        "packaging/kubernetes/deployment.yaml",
        FLEET,
    ]
    .map(|path| (path, workload(path)))
    .into()
}

#[test]
fn what_the_configmap_holds_is_good() {
    let data = documents("packaging/kubernetes/configmap.yaml").remove(0)["data"].take();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in data.as_object().expect("files") {
        // The token is a secret that is mounted beside it.
        let token = folder.path().join("token").display().to_string();
        let text = content
            .as_str()
            .expect("text")
            .replace("/run/meridian/token", &token);
        fs::write(folder.path().join(name), text).expect("written");
    }
    fs::write(
        folder.path().join("token"),
        "0123456789abcdef0123456789abcdef",
    )
    .expect("written");
    fs::set_permissions(
        folder.path().join("token"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("it is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .arg("check")
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        printed, "meridian.toml: good: 1 zone, 1 service\n",
        "{output:?}"
    );
}

#[test]
fn pods_run_the_image_as_it_is_made() {
    let cmd: Value = serde_json::from_str(&instruction("CMD")).expect("a list");
    let user = instruction("USER");
    for (path, pod) in pods() {
        let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
        assert_eq!(container["args"], cmd, "{path}");
        let security = &spec["securityContext"];
        let (uid, gid) = (&security["runAsUser"], &security["runAsGroup"]);
        assert_eq!(
            (format!("{uid}:{gid}"), &security["runAsNonRoot"]),
            (user.clone(), &Value::Bool(true)),
            "{path}"
        );
        let mut ports: Vec<String> = Vec::new();
        for port in container["ports"].as_array().expect("ports") {
            ports.push(format!(
                "{}/{}",
                port["containerPort"],
                port["protocol"].as_str().unwrap_or("TCP").to_lowercase()
            ));
        }
        for exposed in instruction("EXPOSE").split(' ') {
            assert!(
                ports.iter().any(|port| port == exposed),
                "{path}: {ports:?} lacks {exposed}"
            );
        }
    }
}

/// Liveness is asked for from where strangers cannot reach, with a command that the program has.
#[test]
fn probes_of_the_kubelet_ask_over_loopback() {
    assert!(text("Dockerfile").contains("CMD [\"meridian\", \"status\", \"--live\"]"));
    let config =
        documents("packaging/kubernetes/configmap.yaml").remove(0)["data"]["meridian.toml"].take();
    let default = "127.0.0.1:8053";
    assert!(
        config
            .as_str()
            .expect("text")
            .contains(&format!("[admin]\nlisten = \"{default}\""))
    );
    let help = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .args(["status", "--help"])
        .output()
        .expect("the binary runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains(default), "{help}");
    for (path, pod) in pods() {
        let container = &pod["spec"]["containers"][0];
        for (probe, option) in [
            ("startupProbe", "--ready"),
            ("readinessProbe", "--ready"),
            ("livenessProbe", "--live"),
        ] {
            let command = words(&container[probe]["exec"]["command"]);
            assert_eq!(command, ["meridian", "status", option], "{path}: {probe}");
            assert!(help.contains(option), "{help}");
            assert!(
                container[probe]["timeoutSeconds"].as_u64() >= Some(5),
                "{path}: {probe}: the program waits so long"
            );
        }
        assert!(
            container["ports"]
                .as_array()
                .expect("ports")
                .iter()
                .all(|port| port["name"] != "admin"),
            "{path}"
        );
    }
}

#[test]
fn pods_have_no_more_rights_than_port_53_needs() {
    for (path, pod) in pods() {
        let spec = &pod["spec"];
        for container in ["initContainers", "containers"]
            .iter()
            .flat_map(|kind| spec[kind].as_array().expect("a list"))
        {
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{path}");
            assert_eq!(words(&security["capabilities"]["drop"]), ["ALL"], "{path}");
        }
        let security = &spec["containers"][0]["securityContext"];
        // The program is marked with this right, and would not start without it among those that it may have.
        assert_eq!(
            words(&security["capabilities"]["add"]),
            ["NET_BIND_SERVICE"],
            "{path}"
        );
        assert!(text("Dockerfile").contains("setcap cap_net_bind_service=+ep"));
        // Without the host's network, port 53 is open to everybody in the pod.
        let on_host = spec["hostNetwork"] == true;
        assert_eq!(security["allowPrivilegeEscalation"], on_host, "{path}");
        assert_eq!(
            spec["securityContext"]["sysctls"].is_null(),
            on_host,
            "{path}"
        );
    }
}

#[test]
fn everything_that_is_mounted_is_there_and_where_the_configuration_looks() {
    let config = documents("packaging/kubernetes/configmap.yaml").remove(0);
    let toml = config["data"]["meridian.toml"].as_str().expect("text");
    for (path, pod) in pods() {
        let spec = &pod["spec"];
        let mut volumes = spec["volumes"].as_array().expect("volumes").clone();
        // Those of a StatefulSet that outlive their pods.
        let claims = documents(path).remove(0)["spec"]["volumeClaimTemplates"].take();
        for claim in claims.as_array().into_iter().flatten() {
            volumes.push(claim["metadata"].clone());
        }
        for container in ["initContainers", "containers"]
            .iter()
            .flat_map(|kind| spec[kind].as_array().expect("a list"))
        {
            for mount in container["volumeMounts"].as_array().expect("mounts") {
                assert!(
                    volumes.iter().any(|volume| volume["name"] == mount["name"]),
                    "{path}: {mount}"
                );
            }
        }
        let mounts = spec["containers"][0]["volumeMounts"]
            .as_array()
            .expect("mounts");
        let at = |name: &str| {
            mounts
                .iter()
                .find(|mount| mount["name"] == name)
                .map(|mount| mount["mountPath"].clone())
        };
        assert_eq!(at("config"), Some("/etc/meridian".into()), "{path}");
        assert_eq!(at("state"), Some("/var/lib/meridian".into()), "{path}");
        assert!(
            toml.contains("directory = \"/var/lib/meridian\"")
                && toml.contains("\"/run/meridian/token\""),
            "{toml}"
        );
        assert_eq!(at("run"), Some("/run/meridian".into()), "{path}");
        // In a fleet the first container puts together what all pods share and what is each pod's own.
        let name = if path == FLEET { "shared" } else { "config" };
        let map = volumes
            .iter()
            .find(|volume| volume["name"] == name)
            .expect("a volume");
        assert_eq!(
            map["configMap"]["name"], config["metadata"]["name"],
            "{path}"
        );
    }
}

/// The first container's script, run on what `fleet init` writes, leaves files that are good.
#[test]
fn what_a_pod_of_a_fleet_puts_together_is_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let keys = at("keys").display().to_string();
    let mut init = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let made = init
        .args([
            "fleet",
            "init",
            &keys,
            "--voter",
            "fra-0=fra",
            "--voter",
            "fra-1=fra",
        ])
        .output();
    assert!(made.expect("the binary runs").status.success());
    for name in ["config", "secret", "fleet", "etc/meridian", "run/meridian"] {
        fs::create_dir_all(at(name)).expect("a folder");
    }
    let data = documents("packaging/kubernetes/configmap.yaml").remove(0)["data"].take();
    let token = at("run/meridian/token").display().to_string();
    for (name, content) in data.as_object().expect("files") {
        let text = content.as_str().expect("text");
        let text = text.replace("/run/meridian/token", &token);
        fs::write(at("config").join(name), text).expect("written");
    }
    fs::write(at("secret/token"), "0123456789abcdef0123456789abcdef").expect("written");
    fs::rename(at("keys/fra-0"), at("fleet/meridian-0")).expect("fleet init wrote it");
    let pod = documents(FLEET).remove(0)["spec"]["template"].take();
    let command = &pod["spec"]["initContainers"][0]["command"];
    let mut script = command[2].as_str().expect("a script").to_owned();
    for place in [
        "/fleet/",
        "/config/",
        "/secret/",
        "/etc/meridian/",
        "/run/meridian/",
    ] {
        script = script.replace(place, &format!("{}{place}", folder.path().display()));
    }
    let ran = Command::new("/bin/sh")
        .args(["-c", &script])
        .env("HOSTNAME", "meridian-0")
        .output()
        .expect("there is a shell");
    assert!(ran.status.success(), "{ran:?}\n{script}");
    let mut check = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = check.arg("check").current_dir(at("etc/meridian")).output();
    let output = output.expect("the binary runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "meridian.toml: good: 1 zone, 1 service\n",
        "{output:?}"
    );
}

#[test]
fn the_nats_server_has_the_ports_that_fleet_init_writes() {
    let [workload, service] = &documents("packaging/kubernetes/nats.yaml")[..] else {
        panic!("two")
    };
    let spec = &workload["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    let mut ports = Vec::new();
    for (named, offered) in [
        (&container["ports"], "containerPort"),
        (&service["spec"]["ports"], "port"),
    ] {
        for port in named.as_array().expect("ports") {
            ports.push(port[offered].as_u64().expect("a number"));
        }
    }
    assert_eq!(ports, [4222, 6222, 4222, 6222]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("keys").display().to_string();
    let mut init = Command::new(env!("CARGO_BIN_EXE_meridian"));
    init.args(["fleet", "init", &keys, "--voter", "fra-0=fra"]);
    for (name, host) in [
        ("nats1", "nats1.example.com"),
        ("nats2", "nats2.example.com"),
        ("nats3", "nats3.example.com"),
    ] {
        init.args(["--nats", &format!("{name}={host}")]);
    }
    assert!(init.output().expect("the binary runs").status.success());
    let conf = fs::read_to_string(folder.path().join("keys/nats1/nats.conf")).expect("written");
    for line in [
        "listen: \"0.0.0.0:4222\"",
        "listen: \"0.0.0.0:6222\"",
        "store_dir: \"jetstream\"",
    ] {
        assert!(conf.contains(line), "{conf}");
    }
    assert_eq!(
        container["workingDir"], "/data",
        "the paths of nats.conf begin there"
    );
    assert_eq!(
        words(&container["command"]),
        ["nats-server", "-c", "nats.conf"]
    );
    for each in [&spec["initContainers"][0], container] {
        let security = &each["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true, "{each}");
        assert_eq!(words(&security["capabilities"]["drop"]), ["ALL"], "{each}");
    }
}

#[test]
fn the_service_leads_to_the_pods_over_both_transports() {
    for path in ["packaging/kubernetes/deployment.yaml", FLEET] {
        leads_to_the_pods(path);
    }
}

fn leads_to_the_pods(path: &str) {
    let [deployment, service, budget] = &documents(path)[..] else {
        panic!("three")
    };
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(service["spec"]["externalTrafficPolicy"], "Local");
    let offered = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
        .as_array()
        .expect("ports");
    let ports = service["spec"]["ports"].as_array().expect("ports");
    let protocols: Vec<&Value> = ports.iter().map(|port| &port["protocol"]).collect();
    assert_eq!(protocols, ["UDP", "TCP"]);
    for port in ports {
        assert!(
            offered
                .iter()
                .any(|it| it["name"] == port["targetPort"] && it["protocol"] == port["protocol"]),
            "{port}"
        );
        assert_eq!(port["port"], 53);
    }
    for document in [deployment, service, budget] {
        assert_eq!(document["metadata"]["namespace"], "meridian");
    }
}

#[test]
fn compose_runs_the_same() {
    let service =
        documents("packaging/docker-compose.yaml").remove(0)["services"]["meridian"].take();
    assert_eq!(
        (&service["read_only"], words(&service["cap_drop"])),
        (&Value::Bool(true), vec!["ALL"])
    );
    assert_eq!(words(&service["cap_add"]), ["NET_BIND_SERVICE"]);
    assert_eq!(
        words(&service["volumes"]),
        ["./meridian:/etc/meridian:ro", "state:/var/lib/meridian"]
    );
    let health =
        serde_json::to_string(&words(&service["healthcheck"]["test"])[1..]).expect("a list");
    assert!(
        instruction("HEALTHCHECK")
            .replace(", ", ",")
            .contains(&health),
        "{health}"
    );
}

/// What stands behind `key=` in the unit, for each time that it is there.
fn of_the_unit(key: &str) -> Vec<String> {
    let unit = text("packaging/systemd/meridian.service");
    unit.lines()
        .filter_map(|line| line.strip_prefix(&format!("{key}=")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_unit_runs_what_the_image_runs_with_no_more_rights() {
    let words: Vec<String> = serde_json::from_str(&instruction("CMD")).expect("a list");
    assert_eq!(
        of_the_unit("ExecStart"),
        [format!("/usr/bin/meridian {}", words.join(" "))]
    );
    for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        assert_eq!(of_the_unit(key), ["CAP_NET_BIND_SERVICE"], "{key}");
    }
    assert_eq!(of_the_unit("ProtectSystem"), ["strict"]);
    assert!(of_the_unit("ReadWritePaths").is_empty());
    // The one place that may be written is where the package's configuration keeps the state.
    let state = format!(
        "[state]\ndirectory = \"/var/lib/{}\"",
        of_the_unit("StateDirectory").join(" ")
    );
    assert!(
        text("packaging/debian/meridian.toml").contains(&state),
        "{state}"
    );
    let user = of_the_unit("User").join(" ");
    let folder = format!("install -d -o {user} -g {user} -m 700 /var/lib/{user}");
    assert!(
        text("packaging/debian/postinst").contains(&folder),
        "{folder}"
    );
}

/// The figure of the guide is what `systemd-analyze` (tools/test installs it) says, whatever its version thinks of the face.
#[test]
fn the_unit_is_as_confined_as_the_guide_says() {
    let mut command = Command::new("systemd-analyze");
    command
        .args([
            "security",
            "--offline=true",
            "--no-pager",
            "packaging/systemd/meridian.service",
        ])
        .current_dir(root());
    let output = command.output().expect("systemd-analyze is installed");
    let printed = String::from_utf8_lossy(&output.stdout);
    let exposure = |text: &str| -> Option<f32> {
        let (_, rest) = text.split_once("exposure level for meridian.service: ")?;
        rest.split_whitespace().next()?.parse().ok()
    };
    let (said, measured) = (
        exposure(&text("docs/guide/security.md")),
        exposure(&printed),
    );
    assert!(
        said.is_some() && said == measured,
        "the guide says {said:?}, the tool {measured:?}: {output:?}"
    );
}

/// One socket of each kind for each address, none that the service would refuse.
#[test]
fn the_socket_unit_passes_what_the_service_takes() {
    let unit = text("packaging/socket-activation/meridian.socket");
    let of = |key: &str| {
        unit.lines()
            .filter_map(|line| line.strip_prefix(key))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("ListenDatagram="), ["0.0.0.0:53", "[::]:53"]);
    assert_eq!(of("ListenDatagram="), of("ListenStream="));
    assert_eq!(of("BindIPv6Only="), ["ipv6-only"]);
    assert!(of("Accept=").is_empty() && of_the_unit("Type") == ["notify"]);
    // Beside the service, the package would install and enable it.
    assert!(!root().join("packaging/systemd/meridian.socket").exists());
}

#[test]
fn what_the_package_serves_at_first_is_good_and_for_this_machine_only() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .arg("check")
        .current_dir(root().join("packaging/debian"))
        .output()
        .expect("the binary runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "meridian.toml: good: 1 zone, 1 service\n",
        "{output:?}"
    );
    let config = text("packaging/debian/meridian.toml");
    assert!(
        config.contains("\nlisten = [\"127.0.0.1:1053\", \"[::1]:1053\"]"),
        "{config}"
    );
}

#[test]
fn the_package_holds_what_is_there() {
    let manifest = text("Cargo.toml");
    let (_, deb) = manifest
        .split_once("[package.metadata.deb]")
        .expect("there is one");
    let assets = deb
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next());
    let sources: Vec<&str> = assets
        .filter(|source| !source.starts_with("target/"))
        .collect();
    assert!(sources.len() > 4, "{sources:?}");
    for source in sources {
        let folder = source.strip_suffix("*.md").unwrap_or(source);
        assert!(root().join(folder).exists(), "{source}");
    }
    for file in deb
        .lines()
        .filter(|line| line.starts_with("conf-files"))
        .flat_map(|line| line.split('"'))
    {
        if let Some(path) = file.strip_prefix("/etc/meridian/") {
            assert!(
                root().join("packaging/debian").join(path).exists(),
                "{file}"
            );
        }
    }
}
