# cargo metadata to a bill of materials (CycloneDX 1.5, https://cyclonedx.org/docs/1.5/json/). No serial number: the same commit gives the same bytes.

# Packages that a package links in; those for its tests and build scripts are not in the program.
def linked: [.deps[] | select(any(.dep_kinds[]; .kind == null)) | .pkg];

# Everything that is reached from $todo.
def reached($nodes; $seen; $todo):
  if ($todo | length) == 0 then $seen
  else ($todo - $seen | unique) as $new
    | reached($nodes; $seen + $new | unique; [$new[] | $nodes[.] | linked[]] | unique | . - $seen - $new)
  end;

def purl: "pkg:cargo/\(.name)@\(.version)";

def component($checksums):
  {type: "library", "bom-ref": purl, name, version, purl: purl}
  + (if .license then {licenses: [{expression: (.license | gsub("/"; " OR "))}]} else {} end)
  + ($checksums["\(.name) \(.version)"] as $sum | if $sum then {hashes: [{alg: "SHA-256", content: $sum}]} else {} end);

(.resolve.nodes | map({(.id): .}) | add) as $nodes
| (.packages | map({(.id): .}) | add) as $packages
| (.packages[] | select(.name == "tokenwatch") | .id) as $root
| (reached($nodes; []; [$root])) as $all
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: $time,
      component: {type: "application", "bom-ref": ($packages[$root] | purl), name: "tokenwatch", version: $version,
        licenses: [{expression: $packages[$root].license}], purl: ($packages[$root] | purl)}
    },
    components: [$all[] | select(. != $root) | $packages[.] | component($checksums[0])] | sort_by(.purl),
    dependencies: [$all[] | {ref: ($packages[.] | purl), dependsOn: [$nodes[.] | linked[] | $packages[.] | purl] | unique | sort}] | sort_by(.ref)
  }
