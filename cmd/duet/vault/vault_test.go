package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/cmd/duet/vault"
)

func deployment(t *testing.T) (vault.Vault, vault.Deployment) {
	t.Helper()
	v := vault.Vault{Folder: filepath.Join(t.TempDir(), "duet")}
	return v, v.At("http://localhost:4566", client.Endpoint{WebSocketURL: "ws://localhost:4566/prod"})
}

func TestTokensComeBack(t *testing.T) {
	v, d := deployment(t)
	want := client.Tokens{Access: "a", Refresh: "r", Expires: time.Unix(1700000000, 0).UTC()}
	for _, user := range []string{"alice", "..", "bob"} {
		if err := d.SaveTokens(user, want); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Tokens(user); err != nil || got != want {
			t.Errorf("Tokens(%q) = %v, %v, want %v", user, got, err, want)
		}
	}
	users, err := d.Users()
	if slices.Sort(users); err != nil || !slices.Equal(users, []string{"..", "alice", "bob"}) {
		t.Errorf("Users() = %q, %v", users, err)
	}
	all, err := v.Deployments()
	if err != nil || len(all) != 1 || all[0].Where != d.Where || all[0].Endpoint != d.Endpoint {
		t.Errorf("Deployments() = %v, %v, want %v", all, err, d)
	}
}

func TestOtherDeploymentsHaveOtherAccounts(t *testing.T) {
	v, d := deployment(t)
	if err := d.SaveTokens("alice", client.Tokens{Access: "a"}); err != nil {
		t.Fatal(err)
	}
	other := v.At("http://localhost:4567", client.Endpoint{WebSocketURL: "ws://localhost:4567/prod"})
	if _, err := other.Tokens("alice"); !errors.Is(err, vault.ErrNoAccount) {
		t.Errorf("Tokens at another deployment: %v, want ErrNoAccount", err)
	}
}

func TestForgetKeepsTheDevice(t *testing.T) {
	_, d := deployment(t)
	if err := d.SaveTokens("alice", client.Tokens{Access: "a"}); err != nil {
		t.Fatal(err)
	}
	state, release, err := d.Device("alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Save(client.Change{Device: "d1"}); err != nil {
		t.Fatal(err)
	}
	release()
	if err := d.Forget("alice"); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget("alice"); !errors.Is(err, vault.ErrNoAccount) {
		t.Errorf("second Forget: %v, want ErrNoAccount", err)
	}
	if got := device(t, d); got != "d1" {
		t.Errorf("device = %q, want d1", got)
	}
}

// device opens alice's first free device, and holds it until the test ends.
func device(t *testing.T, d vault.Deployment) string {
	t.Helper()
	state, release, err := d.Device("alice")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	saved, err := state.Load()
	if err != nil {
		t.Fatal(err)
	}
	return saved.Device
}

func TestEachProcessIsADeviceOfItsOwn(t *testing.T) {
	_, d := deployment(t)
	first, release, err := d.Device("alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Save(client.Change{Device: "one"}); err != nil {
		t.Fatal(err)
	}
	if got := device(t, d); got == "one" {
		t.Error("two holders have one device")
	}
	release()
	if got := device(t, d); got != "one" {
		t.Errorf("the freed device is %q, want one", got)
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	v, d := deployment(t)
	if err := d.SaveTokens("alice", client.Tokens{Access: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Write("bench.json", 1); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(v.Folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
