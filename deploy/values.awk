# Reads values.yaml and prints a table of every value: its path, its default and the comment above it. A value without a comment is an error.

BEGIN {
	print "# Values of the chart"
	print ""
	print "`deploy/generate` writes this page from [`deploy/chart/values.yaml`](../deploy/chart/values.yaml). Helm validates each value against"
	print "[`values.schema.json`](../deploy/chart/values.schema.json) before it changes the cluster."
	print ""
	print "| value | default | meaning |"
	print "|---|---|---|"
}

/^[[:space:]]*$/ { comment = ""; next }

/^[[:space:]]*#/ {
	text = $0
	sub(/^[[:space:]]*# ?/, "", text)
	comment = comment == "" ? text : comment " " text
	next
}

/^[[:space:]]*[A-Za-z][A-Za-z0-9]*:/ {
	indent = match($0, /[^ ]/) - 1
	key = value = $0
	sub(/^ */, "", key)
	sub(/:.*/, "", key)
	sub(/^[^:]*: */, "", value)
	if (value == $0 || value ~ /^[[:space:]]*[A-Za-z0-9]*:$/) value = ""
	depth = indent / 2
	path[depth] = key
	name = path[0]
	for (level = 1; level <= depth; level++) name = name "." path[level]
	if (value == "" && is_section(name)) { comment = ""; next }
	row(name, value)
	comment = ""
	next
}

{ print "values.awk: cannot parse line " NR ": " $0 > "/dev/stderr"; exit 1 }

# A key without a value starts a section of more indented lines. The exception is resources, which counts as one value.
function is_section(name) { return name != "resources" && name !~ /^resources\./ }

function row(name, value) {
	if (name ~ /^resources\./) return
	if (comment == "") { print "values.awk: " name " has no comment above it" > "/dev/stderr"; exit 1 }
	if (name == "resources") value = "see values.yaml"
	else value = "`" value "`"
	gsub(/\|/, "\\|", comment)
	print "| `" name "` | " value " | " comment " |"
}
