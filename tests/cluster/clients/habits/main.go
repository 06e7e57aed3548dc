// Command habits uses a token without a library, in ways that libraries and programs have:
//
//	habits each FILE           reads FILE for each request, every 5 s
//	habits once FILE           reads FILE at its start
//	habits held FILE           keeps a descriptor of FILE, and reads through it for each request
//	habits mapped FILE         maps FILE, and reads the mapping for each request
//	habits every SECONDS FILE  reads FILE and uses it once, every so many seconds
//	habits idle FILE           reads FILE, uses it once, and then does nothing
//	habits anonymous           asks without a token, every 5 s
//	habits burst RATE FILE     opens and reads FILE RATE times a second, and asks every 5 s
//
// It prints the time and the status of every answer.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const path = "/api/v1/namespaces/default/configmaps/answer"

var client *http.Client

func main() {
	exitOnSignal()
	client = trusting("/ca/ca.crt")
	file := os.Args[len(os.Args)-1]
	switch os.Args[1] {
	case "each":
		forever(5, func() string { return read(file) })
	case "once":
		token := read(file)
		forever(5, func() string { return token })
	case "held":
		held := open(file)
		forever(5, func() string { return readAgain(held) })
	case "mapped":
		mapped := mapping(file)
		forever(5, func() string { return string(mapped) })
	case "every":
		seconds, err := strconv.Atoi(os.Args[2])
		check(err)
		forever(seconds, func() string { return read(file) })
	case "idle":
		ask(read(file))
		client.CloseIdleConnections()
		select {}
	case "burst":
		rate, err := strconv.Atoi(os.Args[2])
		check(err)
		go burst(rate, file)
		forever(5, func() string { return read(file) })
	case "anonymous":
		forever(5, func() string { return "" })
	}
}

// The first process of a container gets no signal that it does not handle.
func exitOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() { <-signals; os.Exit(0) }()
}

func trusting(authority string) *http.Client {
	pem, err := os.ReadFile(authority)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func forever(seconds int, token func() string) {
	for {
		ask(token())
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

func ask(token string) {
	url := "https://" + os.Getenv("KUBERNETES_SERVICE_HOST") + path
	request, err := http.NewRequest(http.MethodGet, url, nil)
	check(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	fmt.Println(time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), answer.StatusCode)
}

// In portions of 10 ms: a timer cannot be much finer.
func burst(rate int, file string) {
	for range time.Tick(10 * time.Millisecond) {
		for range rate / 100 {
			read(file)
		}
	}
}

func read(file string) string {
	bytes, err := os.ReadFile(file)
	check(err)
	return string(bytes)
}

func open(file string) *os.File {
	opened, err := os.Open(file)
	check(err)
	return opened
}

func readAgain(file *os.File) string {
	bytes := make([]byte, 65536)
	count, err := file.ReadAt(bytes, 0)
	if err != io.EOF {
		check(err)
	}
	return string(bytes[:count])
}

func mapping(file string) []byte {
	opened := open(file)
	defer opened.Close()
	known, err := opened.Stat()
	check(err)
	mapped, err := syscall.Mmap(int(opened.Fd()), 0, int(known.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	check(err)
	return mapped
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "habits:", err)
		os.Exit(1)
	}
}
