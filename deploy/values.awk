# Reads values.yaml and writes a table of every value: its path, its default and the comment above it. A value without a comment ends it with an error.

BEGIN {
	print "# Values of the chart"
	print ""
	print "Made by `deploy/generate` from [`deploy/chart/values.yaml`](../deploy/chart/values.yaml). What each may be is held by"
	print "[`values.schema.json`](../deploy/chart/values.schema.json): Helm refuses anything else before it changes the cluster."
	print ""
	print "| value | default | |"
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

{ print "values.awk: line " NR " is none that it knows: " $0 > "/dev/stderr"; exit 1 }

# A key without a value has the more indented lines below it: a section, but for resources, which is one value.
function is_section(name) { return name != "resources" && name !~ /^resources\./ }

function row(name, value) {
	if (name ~ /^resources\./) return
	if (comment == "") { print "values.awk: " name " has no comment above it" > "/dev/stderr"; exit 1 }
	if (name == "resources") value = "see values.yaml"
	else value = "`" value "`"
	gsub(/\|/, "\\|", comment)
	print "| `" name "` | " value " | " comment " |"
}
