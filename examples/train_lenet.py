"""LeNet-5 on the digits that come with the package: the whole training loop."""

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.models import lenet5

tg.manual_seed(0)
model = lenet5()
optimizer = tg.optim.Adam(model.parameters(), lr=2e-3)
digits = tg.data.DataLoader(tg.data.datasets.MNIST5k(train=True).tensors(), batch_size=50, shuffle=True)
for epoch in range(3):
    for images, labels in digits:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss of the last batch {loss:.3f}")

images, labels = tg.data.datasets.MNIST5k(train=False).tensors()[:]
with tg.no_grad():
    accuracy = (model.eval()(images).argmax(1) == labels).float().mean().item()
print(f"test accuracy: {accuracy:.4f}")
assert accuracy > 0.93
