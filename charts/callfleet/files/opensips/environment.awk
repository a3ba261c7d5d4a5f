# Fills ${NAME} in opensips.cfg from the environment: opensips -f opensips.cfg -p "awk -f environment.awk"
# A name without a value ends the start, but for ${NAME:-default}. Lines between "#@if NAME" and
# "#@end" are left out when NAME has no value.
/^#@if / { skipping = (ENVIRON[$2] == ""); print ""; next }
/^#@end/ { skipping = 0; print ""; next }
skipping { print ""; next }
/^[ \t]*#/ { print; next }
{
	line = $0
	out = ""
	while (match(line, /\$\{[A-Z_]+(:-[^}]*)?\}/)) {
		name = substr(line, RSTART + 2, RLENGTH - 3)
		value = ""
		at = index(name, ":-")
		if (at) {
			value = substr(name, at + 2)
			name = substr(name, 1, at - 1)
		}
		if (ENVIRON[name] != "") {
			value = ENVIRON[name]
		} else if (!at) {
			print "callfleet: " name " is not set" > "/dev/stderr"
			exit 1
		}
		out = out substr(line, 1, RSTART - 1) value
		line = substr(line, RSTART + RLENGTH)
	}
	print out line
}
