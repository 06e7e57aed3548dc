# Adds a shift, which the program can set, to time.Now in the toolchain's time/time.go: the one place
# where Go reads the wall clock. Fails if that function has changed, because the clock would not move.

/^import \($/ {
	print
	print "\t\"sync/atomic\""
	imported++
	next
}

/^func Now\(\) Time \{$/ {
	print "// WallShift is how many nanoseconds Now is ahead of the machine's wall clock."
	print "// Monotonic readings are not shifted."
	print "var WallShift atomic.Int64"
	print ""
	print
	inside = 1
	next
}

inside && /^\tsec, nsec, mono := runtimeNow\(\)$/ {
	print
	print "\tif shift := WallShift.Load(); shift != 0 {"
	print "\t\tsec += shift / 1e9"
	print "\t\tnsec += int32(shift % 1e9)"
	print "\t\tif nsec >= 1e9 {"
	print "\t\t\tsec++"
	print "\t\t\tnsec -= 1e9"
	print "\t\t} else if nsec < 0 {"
	print "\t\t\tsec--"
	print "\t\t\tnsec += 1e9"
	print "\t\t}"
	print "\t}"
	shifted++
	inside = 0
	next
}

/^}$/ { inside = 0 }

{ print }

END { if (imported != 1 || shifted != 1) exit 1 }
