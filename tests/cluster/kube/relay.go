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

// relay forwards TCP connections unless its gate file contains `cut`. Kubelet reaches
// the API server through a relay, so that a test can disconnect the two.
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
		Short: "Forward TCP connections, except while FILE contains `cut`",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return r.run(listen)
		},
		SilenceUsage: true,
	}
	command.Flags().StringVar(&listen, "listen", "", "address to accept connections on")
	command.Flags().StringVar(&r.to, "to", "", "address to forward them to")
	command.Flags().StringVar(&r.gate, "gate", "", "file that contains `open` or `cut`")
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

// followGate reads the gate file. It is open unless the file contains `cut`.
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

// enter adds a connection to those that a cut closes. It returns false if the gate is cut.
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
		// Linger 0 turns the close into a reset. A listener cannot refuse a connection.
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
