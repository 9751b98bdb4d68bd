package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/rotate"
)

// RedisCheck is a command that the Redis tier needs, and how it went.
type RedisCheck struct {
	// Command is its name, as in an ACL rule.
	Command string
	// Err is nil if it did what the tier needs.
	Err error
}

// ErrRedisSlow means that Redis answers, but not within the time that the fence
// waits for it: every answer would come too late.
var ErrRedisSlow = fmt.Errorf("redis takes longer than the %v that the fence waits for it", redisclient.Timeout)

// errNotReturned: Redis takes what is written, and loses or changes it.
var errNotReturned = errors.New("redis does not return the value that was written")

// CheckRedis does once, and with more patience, what a chain does while it
// serves: PING, SET and GETRANGE of a sealed entry, SUBSCRIBE to the channel and
// PUBLISH of a sealed message that invalidates nothing. The entry answers no
// question, and lapses within a second. It stops after PING if Redis cannot be
// reached. The client is that of the options, and stays the caller's to
// close.
func CheckRedis(ctx context.Context, client redis.UniversalClient, o RedisOptions) ([]RedisCheck, error) {
	bus, err := newBus(rotate.Fixed(client), o, time.Second, time.Now)
	if err != nil {
		return nil, err
	}
	trials := []RedisCheck{{"PING", client.Ping(ctx).Err()}}
	if trials[0].Err == nil {
		trials = append(trials, bus.try(ctx, client)...)
	}
	return trials, nil
}

// try does what comes after PING.
func (b *Bus) try(ctx context.Context, client redis.UniversalClient) []RedisCheck {
	name := "check:" + strconv.FormatUint(rand.Uint64(), 36) //nolint:gosec // a name of its own, no secret
	sealed := b.sealer.seal(name, b.now(), nil)
	set := client.SetArgs(ctx, b.redisKey(name), sealed, redis.SetArgs{TTL: time.Second, Mode: "NX"}).Err()
	trials := []RedisCheck{{"SET", set}}
	if got := b.tryRead(ctx, client, name); set == nil || !errors.Is(got, errNotReturned) {
		trials = append(trials, RedisCheck{"GETRANGE", got})
	}
	subscribe, publish := b.tryMessage(ctx, client)
	return append(trials, RedisCheck{"SUBSCRIBE", subscribe}, RedisCheck{"PUBLISH", publish})
}

// tryRead reads an entry up to five times: one slow answer is no slow Redis.
func (b *Bus) tryRead(ctx context.Context, client redis.UniversalClient, name string) error {
	for range 5 {
		started := time.Now()
		value, err := client.GetRange(ctx, b.redisKey(name), 0, maxSealed).Bytes()
		if err != nil {
			return err
		}
		if _, _, ok := b.sealer.open(name, b.now(), value); !ok {
			return errNotReturned
		}
		if time.Since(started) <= redisclient.Timeout {
			return nil
		}
	}
	return ErrRedisSlow
}

// tryMessage sends a message and waits for it. Where subscribing is refused,
// publishing is tried all the same.
func (b *Bus) tryMessage(ctx context.Context, client redis.UniversalClient) (subscribe, publish error) {
	subscription := client.Subscribe(ctx, b.channel)
	defer subscription.Close() //nolint:errcheck // there is nothing left to send
	_, subscribe = subscription.Receive(ctx)
	message := b.sealer.seal(b.channel, b.now(), encodeKeys(b.sender, nil))
	publish = client.Publish(ctx, b.channel, message).Err()
	for subscribe == nil && publish == nil {
		received, err := subscription.ReceiveMessage(ctx)
		if err != nil {
			return errNotReturned, nil
		}
		if received.Payload == string(message) {
			break
		}
	}
	return subscribe, publish
}
