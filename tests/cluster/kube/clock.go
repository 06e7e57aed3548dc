package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	clockFileVariable = "TW_CLOCK_FILE"
	pollInterval      = 50 * time.Millisecond
)

// followClockFile keeps this process's wall clock ahead of the machine's by the
// number of seconds in the file (behind, if negative). time.WallShift is not part
// of Go: the build script adds it to its copy of time/time.go. Monotonic time does
// not move, so timers and timeouts are not affected.
func followClockFile(path string) error {
	if path == "" {
		return nil
	}
	shift, err := readShift(path)
	if err != nil {
		return err
	}
	time.WallShift.Store(int64(shift))
	go func() {
		for {
			time.Sleep(pollInterval)
			// The file may be half-written at this moment. If it is not a number, the
			// clock keeps its shift.
			if shift, err := readShift(path); err == nil {
				time.WallShift.Store(int64(shift))
			}
		}
	}()
	return nil
}

// readShift returns the shift in the file: zero if the file is missing or empty.
func readShift(path string) (time.Duration, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the clock file (%s): %w", clockFileVariable, err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(seconds) > math.MaxInt64/1e9 || math.IsNaN(seconds) {
		return 0, fmt.Errorf("clock file %s contains %q: write the shift in seconds, such as 480 or -37.25", path, text)
	}
	return time.Duration(math.Round(seconds * 1e9)), nil
}
