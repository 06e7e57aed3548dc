package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// relay passes TCP connections on while its gate file does not say `cut`. The
// kubelet reaches the API server through it, so that a test can part the two.
type relay struct {
	to, gate string
	cut      atomic.Bool
	mu       sync.Mutex
	open     map[net.Conn]struct{}
}

func newRelayCommand() *cobra.Command {
	var listen string
	r := &relay{open: map[net.Conn]struct{}{}}
	command := &cobra.Command{
		Use:   "relay --listen ADDR --to ADDR --gate FILE",
		Short: "Pass TCP connections on, except while FILE contains `cut`",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return r.run(listen)
		},
		SilenceUsage: true,
	}
	command.Flags().StringVar(&listen, "listen", "", "address to accept connections on")
	command.Flags().StringVar(&r.to, "to", "", "address to pass them on to")
	command.Flags().StringVar(&r.gate, "gate", "", "file that says `open` or `cut`")
	for _, flag := range []string{"listen", "to", "gate"} {
		_ = command.MarkFlagRequired(flag)
	}
	return command
}

func (r *relay) run(listen string) error {
	r.followGate()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("relay cannot listen on %s: %w", listen, err)
	}
	go func() {
		for {
			time.Sleep(pollInterval)
			r.followGate()
		}
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("relay cannot accept on %s: %w", listen, err)
		}
		go r.pass(conn)
	}
}

// followGate reads the gate; a file that is missing or says anything but `cut` is open.
func (r *relay) followGate() {
	content, _ := os.ReadFile(r.gate)
	cut := strings.TrimSpace(string(content)) == "cut"
	if r.cut.Swap(cut) == cut {
		return
	}
	fmt.Fprintf(os.Stderr, "%s cut=%v\n", time.Now().UTC().Format(time.RFC3339Nano), cut)
	if !cut {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.open {
		conn.Close()
	}
}

// enter notes a connection so that a cut can close it, unless the gate is cut already.
func (r *relay) enter(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut.Load() {
		return false
	}
	r.open[conn] = struct{}{}
	return true
}

func (r *relay) leave(conn net.Conn) {
	conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, conn)
}

func (r *relay) pass(near net.Conn) {
	defer r.leave(near)
	if !r.enter(near) {
		// Linger 0 makes the close a reset, as near to a refusal as a listener gets.
		if tcp, ok := near.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return
	}
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer r.leave(far)
	if !r.enter(far) {
		return
	}
	done := make(chan struct{}, 2)
	copyOne := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		done <- struct{}{}
	}
	go copyOne(far, near)
	go copyOne(near, far)
	<-done
}
