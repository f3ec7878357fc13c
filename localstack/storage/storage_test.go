package storage_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/storage"
)

func open(t *testing.T, dir string) *storage.Store {
	t.Helper()
	s, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRangeIsOrderedAndBounded(t *testing.T) {
	s := open(t, "")
	for _, key := range []string{"b2", "a1", "b1", "c", "b\xff"} {
		if err := s.Put([]byte(key), []byte("v"+key)); err != nil {
			t.Fatal(err)
		}
	}
	keys := func(reverse bool) string {
		var got []string
		err := s.Range([]byte("b"), storage.After([]byte("b")), reverse, func(k, v []byte) bool {
			got = append(got, string(k))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(got, " ")
	}
	if got, want := keys(false), "b1 b2 b\xff"; got != want {
		t.Errorf("Range = %q, want %q", got, want)
	}
	if got, want := keys(true), "b\xff b2 b1"; got != want {
		t.Errorf("Range reversed = %q, want %q", got, want)
	}
}

func TestAfter(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "\xff\xff": "", "": ""} {
		if got := string(storage.After([]byte(prefix))); got != want {
			t.Errorf("After(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func TestOpenRefusesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := storage.Open(dir)
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v, want an error that names the folder", err)
	}
}

func TestOpenRefusesACorruptFolder(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifest: %v", err)
	}
	for _, m := range manifests {
		if err := os.WriteFile(m, []byte("not a manifest"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = storage.Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v, want an error that names the folder", err)
	}
}

// A log that is damaged well before its end is no torn write of a crash: acknowledged writes would
// be missing, so the folder is refused, with what to do.
func TestOpenRefusesADamagedLog(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // more than the block of 32 KB that is judged as a whole
		if err := s.Put(fmt.Append(nil, i), []byte(strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log: %v", err)
	}
	for _, log := range logs {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for i := 50_000; i < min(50_050, len(b)); i++ {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(log, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = storage.Open(dir)
	if want := "data folder " + dir + " is corrupt: restore it from a copy, or remove it to start empty"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %q", err, want)
	}
}

// G1: what was acknowledged is there after kill -9. A child process acknowledges each write on
// its output and is killed in the middle.
func TestG1_KilledProcessLosesNothingAcknowledged(t *testing.T) {
	if dir := os.Getenv("STORAGE_TEST_DIR"); dir != "" {
		writeForever(dir)
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestG1_KilledProcessLosesNothingAcknowledged$")
	child.Env = append(os.Environ(), "STORAGE_TEST_DIR="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	lines := bufio.NewScanner(out)
	for len(acknowledged) < 2000 && lines.Scan() {
		acknowledged[lines.Text()] = true
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		acknowledged[lines.Text()] = true
	}
	_ = child.Wait() // killed
	if len(acknowledged) < 2000 {
		t.Fatalf("the child acknowledged %d writes only", len(acknowledged))
	}
	s := open(t, dir)
	for key := range acknowledged {
		if _, ok, err := s.Get([]byte(key)); err != nil || !ok {
			t.Fatalf("acknowledged %s is lost (%v)", key, err)
		}
	}
}

func writeForever(dir string) {
	s, err := storage.Open(dir)
	if err != nil {
		panic(err)
	}
	lines := make(chan string)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := strconv.Itoa(w) + "-" + strconv.Itoa(i)
				if err := s.Put([]byte(key), []byte(strings.Repeat("x", 300))); err != nil {
					panic(err)
				}
				lines <- key
			}
		}()
	}
	for line := range lines {
		if !strings.HasSuffix(line, "\n") {
			line += "\n"
		}
		fmt.Print(line)
	}
}

// The pattern of a send: three or four small keys in a batch, many writers, each waiting for its
// own durability.
func BenchmarkCommit(b *testing.B) {
	for _, mode := range []string{"memory", "durable"} {
		b.Run(mode, func(b *testing.B) {
			dir := ""
			if mode == "durable" {
				dir = b.TempDir()
			}
			s, err := storage.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := []byte(strings.Repeat("x", 250))
			b.SetParallelism(25)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					batch := s.NewBatch()
					for k := range 4 {
						batch.Set(fmt.Appendf(nil, "key-%d-%d", i, k), value)
					}
					if err := batch.Commit(); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
